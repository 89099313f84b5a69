/tmp/proto/p2 | tail -2
OMP_NUM_THREADS=1 /tmp/peers/bin/python -W ignore /tmp/csr.py sgd,adagrad,SGD 1e5
OMP_NUM_THREADS=1 /tmp/peers/bin/python -W ignore /tmp/csr0.py sgd,adagrad,SGD 1e5
/tmp/proto/p2 | tail -2
