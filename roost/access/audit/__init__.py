"""Who did what, on what, from where, when, and how it ended: append-only and chained."""
