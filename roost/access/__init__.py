"""Who may do what, and where: users, organizations, grants, sessions, tokens."""
