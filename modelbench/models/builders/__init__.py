"""Models of libraries that build them by a name: torchvision and timm."""
