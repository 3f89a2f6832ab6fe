"""How a device is doing, from what is known of it, with the reasons in words."""
