/* Plugin of QEMU's user-mode emulator: counts the instructions that the emulated program executes.
 *
 * Whenever the program calls sched_get_priority_max(MARK), which does nothing and fails, the plugin
 * writes the count so far as one line of decimal digits to the file of its argument `out=PATH`.
 *
 * It declares the few functions of QEMU's plugin interface that it uses, so that no header of QEMU
 * is necessary. All of them exist in every version of the interface; the caller gives the version
 * that its QEMU accepts as PLUGIN_API. QEMU removed the faster inline counters in version 3.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifndef PLUGIN_API
#define PLUGIN_API 1
#endif
#define EXPORT __attribute__((visibility("default")))

/* The number of sched_get_priority_max on AArch64, and the argument in harness/worker.py. */
enum { SCHED_GET_PRIORITY_MAX = 125, MARK = 0x45504d52 };

typedef uint64_t plugin_id;
struct qemu_plugin_tb;

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id,
                                                  void (*callback)(plugin_id, struct qemu_plugin_tb *));
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block,
                                                 void (*callback)(unsigned int, void *), int flags,
                                                 void *data);
extern void qemu_plugin_register_vcpu_syscall_cb(
    plugin_id id, void (*callback)(plugin_id, unsigned int, int64_t, uint64_t, uint64_t, uint64_t,
                                   uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));

EXPORT int qemu_plugin_version = PLUGIN_API;

static uint64_t executed;
static FILE *out;

/* Several threads of the program may be here at once. */
static void on_block(unsigned int cpu, void *instructions)
{
    (void)cpu;
    __atomic_fetch_add(&executed, (uint64_t)(uintptr_t)instructions, __ATOMIC_RELAXED);
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *block)
{
    (void)id;
    void *instructions = (void *)(uintptr_t)qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_cb(block, on_block, 0, instructions);
}

static void on_call(plugin_id id, unsigned int cpu, int64_t number, uint64_t first, uint64_t a2,
                    uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)cpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number == SCHED_GET_PRIORITY_MAX && (uint32_t)first == MARK) {
        uint64_t now = __atomic_load_n(&executed, __ATOMIC_RELAXED);
        fprintf(out, "%llu\n", (unsigned long long)now);
        fflush(out);
    }
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], "out=", 4) == 0)
            out = fopen(argv[i] + 4, "w");
    if (out == NULL)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, on_call);
    return 0;
}
