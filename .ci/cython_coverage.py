"""Cython's plugin for coverage.py, which finds the C file of a .pyx; here also that of a .pxd.

Only for extensions built with SKOPT_EST_BUILD=coverage; `.ci/coverage` uses it.
"""

from pathlib import Path

import Cython.Coverage


class Plugin(Cython.Coverage.Plugin):
    def _find_source_files(self, filename):
        if filename.endswith(".pxd"):
            # the kernels: cimported, so their lines are in the C file of the module that does
            self._find_c_source_files(str(Path(filename).parent), filename)
            if filename in self._c_files_map:
                return self._c_files_map[filename][0], None
        return super()._find_source_files(filename)


def coverage_init(registry, options):
    plugin = Plugin()
    registry.add_configurer(plugin)
    registry.add_file_tracer(plugin)
