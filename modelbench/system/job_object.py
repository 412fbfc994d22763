"""Windows' job objects: processes that end together, whatever started them.

A worker and all its children end when it is told to, and also when the process that holds the job
object goes away, however that happens (JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE).
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

if sys.platform == "win32":
    KILL_ON_CLOSE, EXTENDED_LIMITS = 0x2000, 9
    PROCESS_SET_QUOTA_AND_TERMINATE = 0x0101

    class _Limits(ctypes.Structure):
        """JOBOBJECT_EXTENDED_LIMIT_INFORMATION (winnt.h), of which only the flags are set."""

        _fields_ = (
            ("user_times", ctypes.c_int64 * 2),
            ("flags", ctypes.c_uint32),
            ("working_set", ctypes.c_size_t * 2),
            ("processes", ctypes.c_uint32),
            ("affinity", ctypes.c_size_t),
            ("classes", ctypes.c_uint32 * 2),
            ("transfers", ctypes.c_uint64 * 6),
            ("memory", ctypes.c_size_t * 4),
        )

    class JobObject:
        """One job object."""

        def __init__(self) -> None:
            self._kernel: Any = ctypes.WinDLL("kernel32", use_last_error=True)
            for name in ("CreateJobObjectW", "OpenProcess"):
                getattr(self._kernel, name).restype = ctypes.c_void_p
            self._handle = ctypes.c_void_p(self._kernel.CreateJobObjectW(None, None))
            limits = _Limits(flags=KILL_ON_CLOSE)
            size = ctypes.sizeof(limits)
            given = ctypes.byref(limits)
            if not self._kernel.SetInformationJobObject(self._handle, EXTENDED_LIMITS, given, size):
                raise ctypes.WinError(ctypes.get_last_error())

        def add(self, pid: int) -> bool:
            """Take a process in, and with it all that it starts from now on; tell whether it is."""
            process = self._kernel.OpenProcess(PROCESS_SET_QUOTA_AND_TERMINATE, False, pid)
            if not process:
                return False
            handle = ctypes.c_void_p(process)
            taken = bool(self._kernel.AssignProcessToJobObject(self._handle, handle))
            self._kernel.CloseHandle(handle)
            return taken

        def end(self) -> None:
            """End all of its processes."""
            self._kernel.TerminateJobObject(self._handle, 1)
            self._kernel.CloseHandle(self._handle)
            self._handle = ctypes.c_void_p()
