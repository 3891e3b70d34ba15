"""AIModel operator: watches AIModel resources and carries each model from its source to a served gRPC endpoint."""

__version__ = "0.1.0"
