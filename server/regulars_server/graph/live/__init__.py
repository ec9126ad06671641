"""What is told without being asked again: subscriptions over WebSockets and server-sent events."""
