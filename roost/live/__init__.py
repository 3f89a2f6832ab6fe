"""WebSockets on which users see readings and device states as they happen."""
