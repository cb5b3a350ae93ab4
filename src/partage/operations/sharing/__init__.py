"""The sharing API's operations: shares seen from both sides, offered, answered, ended."""
