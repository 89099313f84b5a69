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


cdef double _one_rate(const double* coefficients, Py_ssize_t n_steps) noexcept nogil:
    """The rate if it is that of all steps and a rate, else -1."""
    cdef Py_ssize_t s
    cdef double rate = coefficients[0]
    for s in range(1, n_steps):
        if coefficients[s * N_COEFFICIENTS] != rate:
            return -1
    return rate if rate >= 0 else -1


def _sums_before(numbers):
    return np.concatenate([[0.0], np.cumsum(numbers)])
