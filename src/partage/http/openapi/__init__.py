"""The OpenAPI document, built from the route table."""
