"""Work for devices: a queue per device, of which a device leases what it is about to do."""
