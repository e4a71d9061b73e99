/* rl/cmd/launch_templates.c - texts in which @N and @COMMAND are put in.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/cmd/launch_templates.h"

#include <string.h>

#include "base/str.h"

static const char slurm[] =
    "#!/bin/bash\n"
    "#SBATCH --job-name=strop\n"
    "#SBATCH --ntasks=@N                # the ranks: a power of two\n"
    "#SBATCH --cpus-per-task=4\n"
    "#SBATCH --time=24:00:00\n"
    "#SBATCH --signal=TERM@120          # to the ranks, two minutes before the limit: the run is saved\n"
    "#SBATCH --requeue\n"
    "#SBATCH --open-mode=append\n"
    "# output_dir must be on a file system that all machines share.\n"
    "srun @COMMAND\n"
    "code=$?\n"
    "case $code in\n"
    "75 | 137 | 143) # a rank was lost (137: killed), or the time was up: the run continues from its last checkpoint\n"
    "    scontrol requeue \"$SLURM_JOB_ID\" ;;\n"
    "esac\n"
    "exit $code\n";

static const char kubernetes[] =
    "# Pods of an indexed job, one per rank. A lost rank ends all pods, which are made again; 1 and 2 are errors that "
    "stay.\n"
    "apiVersion: v1\n"
    "kind: Service\n"
    "metadata: {name: strop}\n"
    "spec: {clusterIP: None, publishNotReadyAddresses: true, selector: {job-name: strop}}\n"
    "---\n"
    "apiVersion: batch/v1\n"
    "kind: Job\n"
    "metadata: {name: strop}\n"
    "spec:\n"
    "  completions: @N\n"
    "  parallelism: @N\n"
    "  completionMode: Indexed\n"
    "  backoffLimit: 1000\n"
    "  podFailurePolicy:\n"
    "    rules:\n"
    "    - {action: FailJob, onExitCodes: {containerName: strop, operator: In, values: [1, 2]}}\n"
    "  template:\n"
    "    spec:\n"
    "      subdomain: strop\n"
    "      restartPolicy: Never\n"
    "      containers:\n"
    "      - name: strop\n"
    "        image: IMAGE\n"
    "        workingDir: /work # a volume that all pods share\n"
    "        env:\n"
    "        - {name: WORLD_SIZE, value: \"@N\"}\n"
    "        - {name: LOCAL_WORLD_SIZE, value: \"1\"}\n"
    "        - {name: MASTER_ADDR, value: strop-0.strop}\n"
    "        - {name: MASTER_PORT, value: \"29400\"}\n"
    "        command: [sh, -c]\n"
    "        args:\n"
    "        - |-\n"
    "          RANK=$JOB_COMPLETION_INDEX exec @COMMAND\n"
    "        volumeMounts: [{name: work, mountPath: /work}]\n"
    "      volumes:\n"
    "      - {name: work, persistentVolumeClaim: {claimName: CLAIM}}\n";

static const char torchrun[] =
    "#!/bin/bash\n"
    "# One machine. torchrun restarts all ranks when one is lost; the run continues from its last checkpoint.\n"
    "torchrun --standalone --nproc-per-node=@N --max-restarts=3 --no-python @COMMAND\n"
    "# Several machines, on each of them, I from 0 on (output_dir on a file system that they share):\n"
    "# torchrun --nnodes=2 --node-rank=I --nproc-per-node=4 --master-addr=HOST --master-port=29500 \\\n"
    "#     --no-python @COMMAND\n";

static const char mpirun[] =
    "#!/bin/bash\n"
    "# One machine; several: --host a:4,b:4 -x MASTER_ADDR=a, and output_dir on a file system that they share.\n"
    "for try in 1 2 3; do\n"
    "    mpirun -n @N --bind-to none @COMMAND\n"
    "    code=$?\n"
    "    case $code in\n"
    "    75 | 137) ;; # a rank was lost (137: killed): the run continues from its last checkpoint\n"
    "    *) break ;;\n"
    "    esac\n"
    "done\n"
    "exit $code\n";

static const struct {
    const char *name, *text;
    int indent; /* of the lines of a command, in a block of YAML */
} templates[] = {{"slurm", slurm, 0}, {"kubernetes", kubernetes, 10}, {"torchrun", torchrun, 0}, {"mpirun", mpirun, 0}};

static void put_word(struct strbuf *out, const char *word, int indent)
{
    if (word[0] && !strpbrk(word, " \t\n'\"\\$`*?[]{}()<>|&;#~!")) {
        strbuf_puts(out, word);
        return;
    }
    strbuf_putc(out, '"');
    for (; *word; word++) {
        strbuf_puts(out, strchr("\"\\$`", *word) ? "\\" : "");
        strbuf_putc(out, *word);
        if (*word == '\n') {
            strbuf_printf(out, "%*s", indent, "");
        }
    }
    strbuf_putc(out, '"');
}

static void put_command(struct strbuf *out, char *const *words, int indent)
{
    for (int i = 0; words[i]; i++) {
        strbuf_puts(out, i ? " " : "");
        put_word(out, words[i], indent);
    }
    if (!words[1]) {
        strbuf_puts(out, " train my.yaml");
    }
}

static void fill_in(const char *text, int n, char *const *words, int indent, struct strbuf *out)
{
    for (; *text; text++) {
        if (strncmp(text, "@N", 2) == 0) {
            strbuf_printf(out, "%d", n);
            text += 1;
        } else if (strncmp(text, "@COMMAND", 8) == 0) {
            put_command(out, words, indent);
            text += 7;
        } else {
            strbuf_putc(out, *text);
        }
    }
}

enum err launch_print_template(const char *launcher, int n, char *const *words, FILE *out)
{
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        if (strcmp(templates[i].name, launcher) == 0) {
            struct strbuf text = STRBUF_INIT;
            fill_in(templates[i].text, n, words, templates[i].indent, &text);
            fputs(text.data, out);
            strbuf_release(&text);
            return ERR_NONE;
        }
    }
    return err_set(ERR_USAGE, "there is no template '%s'; there are slurm, kubernetes, torchrun and mpirun", launcher);
}
