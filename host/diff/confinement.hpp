// What the worker gives up before it looks at the first byte of a layer.
#pragma once

#include <sys/types.h>

namespace ipcs::diff {

// The process is killed when the thread that started it ends. Throws Error kCancelled when its parent isn't `parent` any
// more.
void die_with(pid_t parent);

// Namespaces of the process's own for mounts (what others unmount goes here as well), network and System V objects.
// Before there are threads. Throws Error kFailedPrecondition naming what is missing.
void leave_namespaces();

// Makes the directory `root` the whole file system, keeps of root's rights those over files alone, and of the
// system's calls those that reading, decompressing and writing need; no program can be started afterwards.
// Descriptors stay open. Before there are threads. Throws Error kFailedPrecondition.
void confine(int root);

}  // namespace ipcs::diff
