# The activations of hidden layers: value and derivative of each, and the passes over a block.
#
# Forward, products and intercepts become the layer's output in place.
# The derivative is kept where it is dear (`slope`); where it is cheap it is found from the output.
from skopt_est._core.losses cimport rabs
from skopt_est._core.types cimport real
from skopt_est._core.vector_math cimport verf, vexp, vlogistic, vtanh


cdef enum Activation:
    IDENTITY
    LOGISTIC
    TANH
    RELU
    LEAKY_RELU
    ELU
    SELU
    GELU
    SILU
    MISH


cdef enum:
    LAST_FROM_OUTPUT = LEAKY_RELU   # up to here the derivative is a function of the output


cdef inline real value(int code, real z, real* slope) noexcept nogil:
    """One activation at one point, and its derivative. `code` is a constant wherever this is
    called, so the compiler keeps one branch of it in each loop."""
    cdef real e, s, t, one = 1, two = 2     # literals would make it double precision
    if code == IDENTITY:
        slope[0] = 1
        return z
    if code == LOGISTIC:
        s = vlogistic(z)
        slope[0] = s * (one - s)
        return s
    if code == TANH:
        t = vtanh(z)
        slope[0] = one - t * t
        return t
    if code == RELU:
        slope[0] = 1 if z > 0 else 0
        return 0 if z <= 0 else z           # so that a NaN stays one
    if code == LEAKY_RELU:
        slope[0] = 1 if z > 0 else <real> 0.01
        return z * slope[0]
    if code == ELU or code == SELU:
        # Clevert, Unterthiner & Hochreiter 2016 with their alpha = 1, and Klambauer et al. 2017:
        # exp(z) - 1 = 2 t / (1 - t) with t = tanh(z / 2), without loss of digits near zero
        t = vtanh(<real> 0.5 * (0 if z > 0 else z))
        e = two * t / (one - t)
        if code == ELU:
            slope[0] = 1 if z > 0 else e + one
            return z if z > 0 else e
        e = <real> 1.7580993408473768 * e
        slope[0] = <real> 1.0507009873554805 if z > 0 else e + <real> 1.7580993408473768
        return <real> 1.0507009873554805 * z if z > 0 else e
    if code == GELU:
        # z times the normal distribution function (Hendrycks & Gimpel 2016)
        s = <real> 0.5 * (one + verf(<real> 0.7071067811865476 * z))
        slope[0] = s + z * <real> 0.3989422804014327 * vexp(<real> -0.5 * z * z)
        return z * s
    if code == SILU:
        # Elfwing, Uchibe & Doya 2018
        s = vlogistic(z)
        slope[0] = s * (one + z * (one - s))
        return z * s
    # MISH, z tanh(softplus(z)) (Misra 2020): with e = exp(-|z|) nothing overflows
    e = vexp(-rabs(z))
    s = (one if z >= 0 else e) / (one + e)
    t = (one + two * e) / (one + two * e + two * e * e)
    t = t if z >= 0 else e * (e + two) / (e * (e + two) + two)
    slope[0] = t + z * s * (one - t * t)
    return z * t


cdef inline void each(int code, real* z, real* slope, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    cdef real derivative
    if slope == NULL:
        for j in range(n):
            z[j] = value(code, z[j], &derivative)
    else:
        for j in range(n):
            z[j] = value(code, z[j], &derivative)
            slope[j] = derivative


cdef inline void activate(int code, real* z, real* slope, Py_ssize_t n) noexcept nogil:
    """z <- f(z), slope <- f' unless it is NULL."""
    if code == RELU:
        each(RELU, z, slope, n)
    elif code == IDENTITY:
        each(IDENTITY, z, slope, n)
    elif code == LOGISTIC:
        each(LOGISTIC, z, slope, n)
    elif code == TANH:
        each(TANH, z, slope, n)
    elif code == LEAKY_RELU:
        each(LEAKY_RELU, z, slope, n)
    elif code == ELU:
        each(ELU, z, slope, n)
    elif code == SELU:
        each(SELU, z, slope, n)
    elif code == GELU:
        each(GELU, z, slope, n)
    elif code == SILU:
        each(SILU, z, slope, n)
    else:
        each(MISH, z, slope, n)


cdef inline void times_slope(
    int code, real* delta, const real* out, const real* slope, Py_ssize_t n
) noexcept nogil:
    """delta <- delta f', where f' is slope or, if that is NULL, told from f's value, out."""
    cdef Py_ssize_t j
    cdef real one = 1
    if slope != NULL:
        for j in range(n):
            delta[j] *= slope[j]
    elif code == RELU:
        for j in range(n):
            delta[j] = delta[j] if out[j] > 0 else 0
    elif code == LOGISTIC:
        for j in range(n):
            delta[j] *= out[j] * (one - out[j])
    elif code == TANH:
        for j in range(n):
            delta[j] *= one - out[j] * out[j]
    elif code == LEAKY_RELU:
        for j in range(n):
            delta[j] *= 1 if out[j] > 0 else <real> 0.01
