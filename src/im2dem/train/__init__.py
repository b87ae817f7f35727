"""Training; the only room that imports torch. It meets the rest in one file: model.onnx with its card."""
