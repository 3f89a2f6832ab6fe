"""A device's shadow: what it shall be (desired), what it says it is (reported), and what lies between (delta)."""
