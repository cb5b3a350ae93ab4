"""The nouns of the Image API as pure values: no input or output, no framework, no clock of their own."""
