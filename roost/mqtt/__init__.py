"""The MQTT device endpoint: 3.1.1 and 5, over TCP, TLS and WebSocket. A front door of the hub, not a general broker."""
