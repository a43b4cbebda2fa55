"""The compiled loops under the deformations, and the integer arithmetic that makes them the same on every device."""
