"""WebSockets on which users see readings, device states, shadows and logs as they happen."""
