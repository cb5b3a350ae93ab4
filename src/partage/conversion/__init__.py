"""From one disk format to another, by a program in a sandbox. Only for image data that was inspected and found safe."""
