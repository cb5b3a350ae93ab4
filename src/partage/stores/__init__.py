"""Where chunk bytes rest: the Store protocol, its drivers, packs of chunks, and the streams in and out. Knows no database."""
