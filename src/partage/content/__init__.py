"""Pure bytes: same input, same output, for ever. No input or output, no threads, no clock."""
