"""Repeatable measurements on both databases, as ratios inside one run: `make bench`. What they say: README.md"""
