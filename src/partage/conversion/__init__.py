"""From one disk format to another, by a program that is locked away. Only for image data that was inspected and found safe."""
