"""GraphQL: the chain's the chain for people's own programs, and a page to try it."""

from regulars_server.graph.endpoint import routes

__all__ = ["routes"]
