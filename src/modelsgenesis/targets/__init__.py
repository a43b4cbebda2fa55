"""Kinds of task, one file each: what a network is asked, from labels to page."""
