"""What papers print, and what is tested of it: presets, tables, variants and claims."""
