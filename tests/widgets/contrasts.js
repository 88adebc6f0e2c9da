// Contrast (WCAG 2.2), size in px and text of everything that is written in an element and seen.
(root) => {
  const parse = (text) => {
    const parts = text.match(/[\d.]+/g).map(Number);
    return { rgb: parts.slice(0, 3), alpha: parts[3] ?? 1 };
  };
  const over = (front, back) => front.rgb.map((part, i) => front.alpha * part + (1 - front.alpha) * back[i]);
  const background = (node) => {
    if (!node) return [255, 255, 255];
    const color = parse(getComputedStyle(node).backgroundColor);
    return color.alpha === 1 ? color.rgb : over(color, background(node.parentElement));
  };
  const light = (rgb) => {
    const linear = rgb.map((part) => part / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const found = [];
  for (const node of root.querySelectorAll("*")) {
    const own = [...node.childNodes].filter((child) => child.nodeType === 3).map((child) => child.data.replace(/\u200b/g, "").trim());
    const text = node.matches("input:not([type=checkbox]), select") ? node.value : own.join("");
    if (!text || !node.checkVisibility() || node.matches("option, style, script, :disabled, .jp-OutputPrompt")) continue;
    const style = getComputedStyle(node), behind = background(node);
    const [high, low] = [light(over(parse(style.color), behind)), light(behind)].sort((a, b) => b - a);
    found.push([(high + 0.05) / (low + 0.05), parseFloat(style.fontSize), text.slice(0, 60)]);
  }
  return found;
}
