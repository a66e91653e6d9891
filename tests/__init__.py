"""The tests mirror the tree; golden/, scenarios/ and architecture/ stand beside."""
