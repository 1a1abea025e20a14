"""Parts of benchmarks.isp_quality: the captures, the methods, the measures and the pages."""
