"""One function for each verb of the API: find, authorise, change, record. Plain blocking functions that know nothing of HTTP."""
