"""Diagnosis of a low AP: hypotheses such as shifted coordinates or swapped images."""
