"""The content engine: image data in, deduplicated and compressed packs out, and back."""
