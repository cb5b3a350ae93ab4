"""All questions: name of the table to its questions. See questions.py."""

from tests.compat import asked_at_the_edges, asked_malformed, asked_of_imports, asked_of_metadefs, questions

RECORDED = {**questions.TABLES, **asked_of_imports.TABLES, **asked_of_metadefs.TABLES, "edges": asked_at_the_edges.EDGES}
"""Those whose answers by Glance are recorded, each table in the file of its name."""

LIVE = {**RECORDED, "malformed": asked_malformed.MALFORMED, "catalog": asked_of_metadefs.CATALOG}
"""Those that both services are asked when both run."""
