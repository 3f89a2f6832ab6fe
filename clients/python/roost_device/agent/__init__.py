"""`roost-agent`: any Linux machine as a managed device of a hub."""
