# Part of engine.pyx: epochs over CSR rows whose steps move only the features of their batch. What
# the others miss is made up for when they come back (lazy.pxd, absent.pxd).

cdef bint _in_cells(Data data, Model model, Scratch scratch, Py_ssize_t n_steps) noexcept nogil:
    """Whether cells.pxd can take such an epoch."""
    return (
        model.n_layers == 1 and scratch.layers[0].n_out == 1 and not model.averaging
        and model.max_grad_norm == 0 and scratch.input_drop.kept == 0 and n_steps <= MOST_STEPS
        and data.loss_code != LOG_LOSS_MULTINOMIAL and model.hyper.weight_decay == 0
    )


def _powers(double ratio, double decay_1, double decay_2):
    exponents = np.arange(N_POWERS)
    with np.errstate(over="ignore", under="ignore"):
        return np.array([np.power(base, exponents) for base in (ratio, decay_1, decay_2)])


cdef double _sum_rates(
    const double[:, ::1] coefficients, double* sums, double* square_sums
) noexcept nogil:
    """Sums of the rates of the steps before each, and of their squares. Returns the rate if it is
    that of all steps, else -1."""
    cdef Py_ssize_t s = 0, n = coefficients.shape[0]
    cdef double rate, first = coefficients[0, 0]
    while s < n and coefficients[s, 0] == first:
        s += 1
    sums[0] = square_sums[0] = 0
    if s == n:
        for s in range(1, n + 1):
            sums[s] = s * first
            square_sums[s] = s * (first * first)
        return first
    for s in range(n):
        rate = coefficients[s, 0]
        sums[s + 1] = sums[s] + rate
        square_sums[s + 1] = square_sums[s] + rate * rate
    return -1
