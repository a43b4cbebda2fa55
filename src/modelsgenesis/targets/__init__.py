"""Kinds of task, one file each, from the labels to the page of results."""
