"""Operations: how the machine and the hub on it are doing, and the machine itself as a device."""
