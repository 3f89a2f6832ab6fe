"""Homes, rooms, who lives and who works there; and how someone new gets a home: by registering."""
