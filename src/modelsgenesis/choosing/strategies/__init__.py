"""Ways to choose which cases to label next, one file each."""
