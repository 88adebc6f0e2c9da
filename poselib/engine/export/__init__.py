"""Systems as ONNX graphs: written, and run by onnxruntime as any other system."""
