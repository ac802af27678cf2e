"""The report's plots: each function draws one small picture and returns it as inline SVG."""
