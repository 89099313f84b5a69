# The two precisions in which everything is compiled.
ctypedef fused real:
    float
    double
