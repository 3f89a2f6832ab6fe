"""The ground everything stands on: settings, database, bus, clock, errors, paging. Knows nothing of devices."""
