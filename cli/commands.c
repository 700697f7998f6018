/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of commands. Everything that anyone reads about a command comes from here: dispatch,
 * --help, shell completion, man pages and docs/configuration.md.
 */
#include <stdlib.h>

#include "cli/cli.h"
#include "common/base/limits.h"
#include "common/base/nearest.h"

/* clang-format off */
#define AT(member) .offset = offsetof(struct cli_config, member)

#define JSON_OPTION                                                                               \
    { .name = "json", .short_flag = 'j', .type = OPTION_BOOL, AT(json),                           \
      .help = "Write JSON for programs, errors too." }
/* Rows of every command that talks to a server. What the libraries log is of little use to a person
 * who gets an error message anyway, so the log level is not the services'. */
#define SERVER_OPTIONS                                                                            \
    JSON_OPTION, PREFIX_OPTION(struct cli_config, prefix),                                        \
    { .name = "connect_timeout", .type = OPTION_DURATION, AT(connect_timeout_ms), .min = 100,     \
      .max = 600000, .fallback = "10s",                                                           \
      .help = "How long Kafka or Redis may take to answer before that is an error." },            \
    { .name = "log.level", .type = OPTION_ENUM, AT(log_level),                                     \
      .choices = "debug|info|warn|error",                                                         \
      .help = "Least important lines of the client libraries to log on stderr. Default: none." }, \
    KAFKA_OPTIONS(struct cli_config, kafka), REDIS_OPTIONS(struct cli_config, redis)
#define INPUT_OPTIONS                                                                             \
    { .name = "input", .short_flag = 'i', .type = OPTION_TEXT, AT(input), .value_name = "FILE",   \
      .help = "File with the input, JSON; - is standard input. A JSON object itself will do." },  \
    { .name = "input_json", .type = OPTION_TEXT, AT(input_json), .value_name = "JSON",            \
      .help = "The input itself. Default: {}." },                                                 \
    { .name = "input_text", .type = OPTION_TEXT, AT(input_text), .value_name = "NAME=FILE",       \
      .help = "The input is {\"NAME\": the text of FILE}." },                                     \
    { .name = "document", .type = OPTION_TEXT, AT(document), .value_name = "FILE",                \
      .help = "Short for --input-text document=FILE." }
#define TIMEOUT_OPTION                                                                            \
    { .name = "timeout", .type = OPTION_DURATION, AT(timeout_ms), .min = 0,                       \
      .max = 30LL * 24 * 3600 * SECOND_MS,                                                        \
      .fallback = "0",                                                                            \
      .help = "Give up waiting after this time (exit code 5; the run goes on); 0: never." }
/* clang-format on */

static const struct option plain_options[] = { JSON_OPTION };
static const struct option server_options[] = { SERVER_OPTIONS };
static const struct option status_options[] = { PAYLOADS_OPTIONS(struct cli_config, payloads),
                                                SERVER_OPTIONS };
static const struct option watch_options[] = { TIMEOUT_OPTION,
                                               PAYLOADS_OPTIONS(struct cli_config, payloads),
                                               SERVER_OPTIONS };

static const struct option eval_options[] = {
    { .name = "data",
      .short_flag = 'd',
      .type = OPTION_TEXT,
      AT(data),
      .value_name = "FILE",
      .help = "JSON object whose members are the names in the expression; - is standard input." },
    JSON_OPTION,
};

static const struct option init_options[] = {
    { .name = "template",
      .short_flag = 't',
      .type = OPTION_ENUM,
      AT(template_name),
      .choices = "hello|llm|pipeline|approval|map",
      .fallback = "hello",
      .help =
          "What to begin with: one task; a model and a decision; steps one after the other with a "
          "fallback; an answer that a person approves; many items side by side." },
    JSON_OPTION,
};

static const struct option validate_options[] = {
    { .name = "strict", .type = OPTION_BOOL, AT(strict), .help = "Take warnings as faults." },
    JSON_OPTION,
};

static const struct option fmt_options[] = {
    { .name = "check",
      .type = OPTION_BOOL,
      AT(check),
      .help = "Change nothing: name the files that are not formatted (exit code 1)." },
    { .name = "stdout",
      .type = OPTION_BOOL,
      AT(to_stdout),
      .help = "Print the result instead of changing the file." },
    JSON_OPTION,
};

static const struct option graph_options[] = {
    { .name = "format",
      .short_flag = 'f',
      .type = OPTION_ENUM,
      AT(picture),
      .choices = "mermaid|dot|json",
      .fallback = "mermaid",
      .help = "mermaid: for Markdown pages; dot: for Graphviz; json: nodes, edges and groups." },
    JSON_OPTION,
};

static const struct option test_options[] = {
    { .name = "case",
      .short_flag = 'c',
      .type = OPTION_TEXT,
      AT(test_case),
      .value_name = "NAME",
      .help = "Only the cases of this name." },
    { .name = "coverage",
      .type = OPTION_BOOL,
      AT(coverage),
      .help = "Say which steps no case has run." },
    JSON_OPTION,
};

static const struct option schema_options[] = {
    { .name = "ref",
      .short_flag = 'r',
      .type = OPTION_TEXT,
      AT(ref),
      .value_name = "FILE,...",
      .help = "Schemas that the schema may refer to, by their $id or by the name that is given "
              "here." },
    { .name = "check_format",
      .type = OPTION_BOOL,
      AT(format),
      .help = "Check `format`, too, which is an annotation otherwise." },
    JSON_OPTION,
};

static const struct option simulate_options[] = {
    INPUT_OPTIONS,
    { .name = "mocks",
      .short_flag = 'm',
      .type = OPTION_TEXT,
      AT(mocks),
      .value_name = "FILE",
      .help = "What the steps answer, YAML: by the name of a step {output: VALUE}, {error: {type, "
              "message}}, or a list of these, one for each attempt. A step without one answers "
              "what fits its output_schema, or something empty. A step that asks people: {approve: "
              "true, by, comment, values} or {reject: true, ...}; one that waits for a signal: "
              "{signal: DATA}." },
    { .name = "approve",
      .type = OPTION_BOOL,
      AT(approve),
      .help =
          "Whoever is asked approves, and every signal comes, where --mocks says nothing else." },
    { .name = "faults",
      .type = OPTION_ENUM,
      AT(faults),
      .choices = "none|some|many|mixed",
      .fallback = "mixed",
      .help = "How hostile the world is; mixed: some in even seeds, many in odd ones." },
    { .name = "seeds",
      .short_flag = 'n',
      .type = OPTION_U32,
      AT(seeds),
      .min = 1,
      .max = 100000000,
      .fallback = "200",
      .help = "Simulate the seeds 1 to N." },
    { .name = "runs",
      .type = OPTION_U32,
      AT(runs),
      .min = 1,
      .max = 1000,
      .fallback = "5",
      .help = "Runs that each seed starts; they may have 20,000 steps together." },
    { .name = "seed",
      .short_flag = 's',
      .type = OPTION_U32,
      AT(seed),
      .min = 1,
      .max = UINT32_MAX,
      .help = "Simulate this seed only." },
    { .name = "trace",
      .type = OPTION_BOOL,
      AT(trace),
      .help = "With --seed: tell on stderr what happens, line by line." },
    JSON_OPTION,
};

static const struct option start_options[] = {
    INPUT_OPTIONS,
    { .name = "key",
      .short_flag = 'k',
      .type = OPTION_TEXT,
      AT(key),
      .value_name = "KEY",
      .help = "Start key: the same key of the same workflow starts one run only; the id of that "
              "run is printed." },
    { .name = "on_conflict",
      .type = OPTION_ENUM,
      AT(on_conflict),
      .choices = "reject|queue|replace|allow",
      .help = "With --key: what to do where other runs have it. reject (the default) starts "
              "nothing, also where that run has ended; the others look at unfinished runs only: "
              "queue begins when they have ended, replace cancels them, allow runs beside them." },
    PAYLOADS_OPTIONS(struct cli_config, payloads),
    { .name = "wait",
      .short_flag = 'w',
      .type = OPTION_BOOL,
      AT(wait),
      .help = "Wait until the run has ended and print its output." },
    { .name = "watch",
      .type = OPTION_BOOL,
      AT(watch),
      .help = "Show the progress of every step until the run has ended, then its output." },
    TIMEOUT_OPTION,
    SERVER_OPTIONS,
};

static const struct option list_options[] = {
    { .name = "status",
      .short_flag = 's',
      .type = OPTION_ENUM,
      AT(status),
      .choices = "initializing|running|paused|waiting_approval|completed|failed|cancelled|"
                 "rolling_back|rolled_back",
      .help = "Only runs in this state." },
    { .name = "workflow",
      .short_flag = 'w',
      .type = OPTION_TEXT,
      AT(workflow),
      .value_name = "NAME",
      .help = "Only runs of this workflow." },
    { .name = "limit",
      .short_flag = 'n',
      .type = OPTION_U32,
      AT(limit),
      .min = 1,
      .max = 10000,
      .fallback = "50",
      .help = "At most so many runs." },
    { .name = "index.url",
      .type = OPTION_TEXT,
      AT(index_url),
      .value_name = "URL",
      .help = "Ask the index that tutti-indexer keeps, as http://HOST:PORT. Without it the newest "
              "runs that Redis holds are listed." },
    { .name = "of_version",
      .type = OPTION_TEXT,
      AT(of_version),
      .value_name = "VERSION",
      .help = "Only runs of this version (needs the index)." },
    { .name = "key",
      .short_flag = 'k',
      .type = OPTION_TEXT,
      AT(key),
      .value_name = "KEY",
      .help = "Only runs of this start key (needs the index)." },
    { .name = "since",
      .type = OPTION_TEXT,
      AT(since),
      .value_name = "TIME",
      .help = "Only runs that started then or later, RFC 3339 (needs the index)." },
    { .name = "until",
      .type = OPTION_TEXT,
      AT(until),
      .value_name = "TIME",
      .help = "Only runs that started before (needs the index)." },
    { .name = "attr",
      .short_flag = 'a',
      .type = OPTION_TEXT,
      AT(attr),
      .value_name = "NAME=VALUE,...",
      .help = "Only runs with these attributes (needs the index)." },
    { .name = "cursor",
      .type = OPTION_TEXT,
      AT(cursor),
      .value_name = "CURSOR",
      .help = "Go on behind the last run of a list before (needs the index)." },
    SERVER_OPTIONS,
};

/* Of a command that may be for many runs. */
#define BULK_OPTIONS                                                                             \
    { .name = "where",                                                                           \
      .type = OPTION_TEXT,                                                                       \
      AT(where),                                                                                 \
      .value_name = "FILTER",                                                                    \
      .help = "For all runs that match, instead of one: words NAME=VALUE of workflow, version, " \
              "state, key and attr.NAME, and started>TIME, started<TIME, as in 'workflow=order " \
              "state=failed attr.region=eu'. All but workflow and state need the index." },      \
        { .name = "limit",                                                                       \
          .short_flag = 'n',                                                                     \
          .type = OPTION_U32,                                                                    \
          AT(limit),                                                                             \
          .min = 1,                                                                              \
          .max = 1000000,                                                                        \
          .fallback = "1000",                                                                    \
          .help = "With --where: at most so many runs." },                                       \
        { .name = "dry_run",                                                                     \
          .type = OPTION_BOOL,                                                                   \
          AT(dry_run),                                                                           \
          .help = "With --where: only say what would be done to which runs." },                  \
        { .name = "yes",                                                                         \
          .short_flag = 'y',                                                                     \
          .type = OPTION_BOOL,                                                                   \
          AT(yes),                                                                               \
          .help = "With --where: do not ask first. (Nor does --json.)" },                        \
    {                                                                                            \
        .name = "index.url", .type = OPTION_TEXT, AT(index_url), .value_name = "URL",            \
        .help = "With --where: find the runs in the index that tutti-indexer keeps, as "         \
                "http://HOST:PORT. Without it the newest that Redis holds are looked at."        \
    }

static const struct option cancel_options[] = {
    { .name = "reason",
      .type = OPTION_TEXT,
      AT(reason),
      .value_name = "TEXT",
      .help = "Why; is kept with the run." },
    { .name = "compensate",
      .type = OPTION_BOOL,
      AT(compensate),
      .help = "Undo first what was completed and can be undone." },
    BULK_OPTIONS,
    SERVER_OPTIONS,
};

/* Who tells a run something. */
#define AS_OPTION                                                        \
    {                                                                    \
        .name = "as", .type = OPTION_TEXT, AT(as), .value_name = "NAME", \
        .help = "Who says so. Default: the user's name."                 \
    }

static const struct option control_options[] = {
    { .name = "reason",
      .type = OPTION_TEXT,
      AT(reason),
      .value_name = "TEXT",
      .help = "Why; is kept in the log." },
    AS_OPTION,
    BULK_OPTIONS,
    SERVER_OPTIONS,
};

static const struct option answer_options[] = {
    AS_OPTION,
    { .name = "role",
      .short_flag = 'r',
      .type = OPTION_TEXT,
      AT(role),
      .value_name = "NAME,...",
      .help =
          "Roles that you have: one of them is asked where a step's approvers have role:NAME." },
    { .name = "comment",
      .short_flag = 'c',
      .type = OPTION_TEXT,
      AT(comment),
      .value_name = "TEXT",
      .help = "For those who read the run." },
    { .name = "values",
      .type = OPTION_TEXT,
      AT(values),
      .value_name = "JSON",
      .help = "An object: members of what is shown that you change, where the step allows it." },
    { .name = "output",
      .short_flag = 'o',
      .type = OPTION_TEXT,
      AT(output),
      .value_name = "JSON",
      .help = "Of a step that had failed: what stands for its output. Default: null." },
    SERVER_OPTIONS,
};

static const struct option signal_options[] = {
    { .name = "json_data",
      .short_flag = 'd',
      .type = OPTION_TEXT,
      AT(json_data),
      .value_name = "JSON",
      .help = "The payload. Default: null." },
    AS_OPTION,
    BULK_OPTIONS,
    SERVER_OPTIONS,
};

static const struct option skip_options[] = {
    { .name = "output",
      .short_flag = 'o',
      .type = OPTION_TEXT,
      AT(output),
      .value_name = "JSON",
      .help = "The step's output; it then counts as completed. Default: none, and it is skipped." },
    AS_OPTION,
    BULK_OPTIONS,
    SERVER_OPTIONS,
};

static const struct option set_options[] = { AS_OPTION, BULK_OPTIONS, SERVER_OPTIONS };
static const struct option retry_options[] = {
    PAYLOADS_OPTIONS(struct cli_config, payloads),
    AS_OPTION,
    BULK_OPTIONS,
    SERVER_OPTIONS,
};

static const struct option rerun_options[] = {
    { .name = "from",
      .short_flag = 'f',
      .type = OPTION_TEXT,
      AT(from),
      .value_name = "STEP",
      .help = "The step to begin with; it stands in no map, loop or handler." },
    PAYLOADS_OPTIONS(struct cli_config, payloads),
    AS_OPTION,
    BULK_OPTIONS,
    SERVER_OPTIONS,
};

static const struct option fork_options[] = {
    { .name = "at",
      .type = OPTION_TEXT,
      AT(at),
      .value_name = "STEP",
      .help = "Take over what had completed before this step. Default: all that has." },
    { .name = "outputs",
      .short_flag = 'o',
      .type = OPTION_TEXT,
      AT(outputs),
      .value_name = "JSON",
      .help = "An object {\"STEP\": OUTPUT}: outputs that stand instead of those of the run." },
    PAYLOADS_OPTIONS(struct cli_config, payloads),
    INPUT_OPTIONS,
    SERVER_OPTIONS,
};

static const struct option restart_options[] = {
    { .name = "of_version",
      .type = OPTION_TEXT,
      AT(of_version),
      .value_name = "VERSION",
      .help = "The version to run. Default: the one that was deployed last." },
    { .name = "cancel",
      .type = OPTION_BOOL,
      AT(cancel),
      .help = "Cancel a run first that has not ended." },
    PAYLOADS_OPTIONS(struct cli_config, payloads),
    AS_OPTION,
    BULK_OPTIONS,
    SERVER_OPTIONS,
};

static const struct option dlq_options[] = {
    { .name = "all",
      .short_flag = 'a',
      .type = OPTION_BOOL,
      AT(all),
      .help = "List letters that were redriven or dropped too." },
    { .name = "limit",
      .short_flag = 'n',
      .type = OPTION_U32,
      AT(limit),
      .min = 1,
      .max = 10000,
      .fallback = "50",
      .help = "List at most so many." },
    SERVER_OPTIONS,
};

static const struct option dev_options[] = {
    { .name = "run",
      .short_flag = 'r',
      .type = OPTION_TEXT,
      AT(run),
      .value_name = "FILE",
      .help = "Deploy this workflow, start it, watch it, print its output, and end with its exit "
              "code." },
    INPUT_OPTIONS,
    { .name = "demo_model",
      .type = OPTION_BOOL,
      AT(demo_model),
      .help = "Answer model calls by tutti-demo-model, a small server on this machine that is no "
              "LLM, unless OPENAI_BASE_URL is set." },
    { .name = "kafka",
      .type = OPTION_TEXT,
      AT(use_kafka),
      .value_name = "HOST:PORT,...",
      .help = "Use these Kafka brokers instead of the embedded one." },
    { .name = "redis",
      .type = OPTION_TEXT,
      AT(use_redis),
      .value_name = "HOST:PORT",
      .help = "Use this Redis instead of a private one." },
    { .name = "env_file",
      .type = OPTION_TEXT,
      AT(env_file),
      .value_name = "FILE",
      .help = "Write the addresses there, as a file for a shell to source." },
    { .name = "worker_config",
      .type = OPTION_TEXT,
      AT(worker_config),
      .value_name = "FILE",
      .help = "Configuration of the worker: models, handlers, commands." },
    { .name = "verbose",
      .short_flag = 'v',
      .type = OPTION_BOOL,
      AT(verbose),
      .help = "Show the logs of the orchestrator and the worker." },
    TIMEOUT_OPTION,
    SERVER_OPTIONS,
};

/* What an argument may be, for commands that know. */
static const char *const shells[] = { "bash", "zsh", "fish", NULL };
static const struct option schedule_options[] = {
    { .name = "from",
      .type = OPTION_TEXT,
      AT(from),
      .value_name = "TIME",
      .help = "backfill: the first time, RFC 3339." },
    { .name = "to",
      .type = OPTION_TEXT,
      AT(to),
      .value_name = "TIME",
      .help = "backfill: the last time, RFC 3339." },
    AS_OPTION,
    SERVER_OPTIONS,
};

static const char *const schedule_verbs[] = {
    "list", "pause", "resume", "trigger", "backfill", NULL
};
static const char *const dlq_verbs[] = { "list", "show", "redrive", "drop", NULL };
static const char *const schema_verbs[] = { "check", "workflow", "workflow-test", NULL };
static const char *const documents[] = { "configuration", "schema", NULL };

#define TABLE(name_, positional_, options_, summary_, description_) \
    .table = { .program = "tutti " name_,                           \
               .summary = summary_,                                 \
               .positional = positional_,                           \
               .description = description_,                         \
               .options = options_,                                 \
               .count = ARRAY_LEN(options_),                        \
               .config_bytes = sizeof(struct cli_config) },         \
    .name = name_

/* clang-format off */
static const struct command all[] = {
    { TABLE("dev", "[FILE...]", dev_options, "Run everything on this machine",
            "Starts an embedded broker, a private redis-server, an orchestrator and a worker, and "
            "deploys the workflows of the given files. It is for development: what it holds is gone "
            "when it ends, and the embedded broker keeps at most 5 MiB or 100,000 batches a "
            "partition (it says so loudly when it drops a record). With --kafka and --redis it uses "
            "real ones, and what they keep stays. Ctrl-C ends it.\n\n"
            "Other commands find it by the environment: tutti dev --env-file tutti.env, then, in "
            "another shell, . ./tutti.env"),
      .args_max = 64, .run = cmd_dev },
    { TABLE("init", "NAME", init_options, "Make a new workflow with its test",
            "Writes NAME.yaml and NAME.test.yaml, and says what to do next. A file that exists is never "
            "replaced (exit code 1)."),
      .args_min = 1, .args_max = 1, .run = cmd_init },
    { TABLE("validate", "FILE...", validate_options, "Check workflow definitions",
            "Says nothing if all is well. Each fault is one line, FILE:LINE:COLUMN: what is wrong. What "
            "may run and is surely not meant, or not needed, is a warning, "
            "FILE:LINE:COLUMN: warning: ..., and no failure. - is standard input. Files of test cases "
            "(*.test.yaml) are checked together with their workflow."),
      .args_min = 1, .args_max = 10000, .run = cmd_validate },
    { TABLE("eval", "EXPRESSION", eval_options, "Evaluate a CEL expression and print it as JSON",
            "The members of the data's top object are the names that the expression may use:\n\n"
            "tutti eval 'a.b > 3' --data FILE"),
      .args_min = 1, .args_max = 1, .run = cmd_eval },
    { TABLE("fmt", "FILE...", fmt_options, "Bring workflows into the canonical layout",
            "Indentation, spacing and quotes become uniform; comments, the order of keys and every value "
            "stay, so that a workflow keeps its hash. Works on tests and on any other YAML file that "
            "validate could read, too; JSON stays JSON. A file is replaced at once or not at all. - is "
            "standard input, printed to standard output."),
      .args_min = 1, .args_max = 10000, .run = cmd_fmt },
    { TABLE("graph", "FILE", graph_options, "Print a workflow as a picture",
            "Every step with what follows it: branches, cases, loops, catches and fallbacks (dashed), "
            "compensations (dotted).\n\n"
            "tutti graph FILE --format dot | dot -Tsvg >workflow.svg"),
      .args_min = 1, .args_max = 1, .run = cmd_graph },
    { TABLE("test", "[FILE|DIR...]", test_options, "Run the test cases of workflows",
            "The cases of a workflow x.yaml stand beside it in x.test.yaml: what its steps answer "
            "(mocks), what happens meanwhile (signals, approvals, a cancel), and what is expected (the "
            "state, the output, the way it took). Each case is played on the engine in this process, "
            "under a clock that jumps: nothing is called, and a week takes no time. "
            "docs/testing-workflows.md has the form.\n\n"
            "A FILE is a workflow or its file of cases; of a DIR, by default the current one, all files "
            "*.test.yaml are taken, also those further down. A case that fails is shown with what "
            "differs and with its line (exit code 1)."),
      .args_max = 10000, .run = cmd_test },
    { TABLE("schema", "workflow|workflow-test|check [SCHEMA DATA]", schema_options,
            "Print the schemas for editors, or check a file against one",
            "workflow and workflow-test print the JSON Schema of workflows and of their tests, for "
            "completion and checks in editors: tutti schema workflow >tutti.schema.json\n\n"
            "check says whether DATA is what SCHEMA demands. "
            "Schema and data are YAML or JSON; one of them may be -, standard input. The schema is JSON "
            "Schema 2020-12, as in the input and output_schema of a workflow; nothing is fetched for it. "
            "It says nothing if all is well. Each violation is one line, FILE:LINE:COLUMN: POINTER: what "
            "is wanted and found, and the place of the keyword that says so; there are at most 100 "
            "(exit code 2). A keyword of the schema that is unknown, and nearly a known one, is warned "
            "about."),
      .args_min = 1, .args_max = 3, .words = schema_verbs, .run = cmd_schema },
    { TABLE("simulate", "FILE", simulate_options, "Run a workflow through simulated faults",
            "Runs the workflow in simulated installations: the code of the orchestrator and the worker "
            "as it is, over a Kafka, a Redis and a clock of its own, in which processes are killed and "
            "stopped, messages get lost and come twice, Redis loses what it had. Nothing outside is "
            "called: steps answer what --mocks says, and fail, are slow or never answer now and then. A "
            "seed decides everything, so the same seed does the same again.\n\n"
            "It counts how the runs ended, and which calls were made again. Whatever does not hold "
            "(a run that never ends, a result applied twice ...) is a violation: exit code 1, with the "
            "command that shows it again. That runs fail is none."),
      .args_min = 1, .args_max = 1, .run = cmd_simulate },
    { TABLE("deploy", "FILE", server_options, "Deploy a workflow definition",
            "A name and version stand for one content for ever: the same content again is fine, "
            "other content is refused (exit code 1)."),
      .args_min = 1, .args_max = 1, .run = cmd_deploy },
    { TABLE("start", "WORKFLOW[@VERSION]|FILE", start_options, "Start a run and print its id",
            "Without a version the one that was deployed last is taken. A file is deployed first. "
            "The input is checked here before anything is started."),
      .args_min = 1, .args_max = 1, .run = cmd_start },
    { TABLE("status", "RUN", status_options, "Show a run and its steps", NULL),
      .args_min = 1, .args_max = 1, .run = cmd_status },
    { TABLE("history", "RUN", server_options, "Show every transition of a run", NULL),
      .args_min = 1, .args_max = 1, .run = cmd_history },
    { TABLE("watch", "RUN", watch_options, "Follow a run until it ends",
            "On a terminal a block with a line per step, redrawn; in a pipe a line per transition; "
            "with --json an object per transition and at last the whole run."),
      .args_min = 1, .args_max = 1, .run = cmd_watch },
    { TABLE("list", NULL, list_options, "List runs, the newest first", NULL), .run = cmd_list },
    { TABLE("cancel", "RUN|--where FILTER", cancel_options, "Cancel a run",
            "Waits up to 10 seconds for the run to be cancelled. A run that has ended already is "
            "refused (exit code 1)."),
      .args_min = 1, .args_max = 1, .many = true, .run = cmd_cancel },
    { TABLE("answer", "RUN STEP approve|reject|retry", answer_options, "Answer a step that asks people",
            "For a step of type human_approval, and for one that failed and was escalated. "
            "`tutti status RUN` shows which steps ask, whom, and what."),
      .args_min = 3, .args_max = 3, .run = cmd_answer },
    { TABLE("signal", "RUN|--where FILTER NAME", signal_options, "Send a signal to a run",
            "A step of type wait takes it; one that comes before its wait is kept."),
      .args_min = 2, .args_max = 2, .many = true, .run = cmd_signal },
    { TABLE("pause", "RUN|--where FILTER", control_options, "Let a run begin nothing new",
            "What is out is finished, and its results are taken."),
      .args_min = 1, .args_max = 1, .many = true, .run = cmd_pause },
    { TABLE("resume", "RUN|--where FILTER", control_options, "Let a paused run go on", NULL),
      .args_min = 1, .args_max = 1, .many = true, .run = cmd_resume },
    { TABLE("skip", "RUN|--where FILTER STEP", skip_options, "Let a run pass a step", NULL),
      .args_min = 2, .args_max = 2, .many = true, .run = cmd_skip },
    { TABLE("set", "RUN|--where FILTER NAME=JSON...", set_options, "Set variables of a run", NULL),
      .args_min = 2, .args_max = 64, .many = true, .run = cmd_set },
    { TABLE("terminate", "RUN|--where FILTER", control_options, "End a run at once",
            "Nothing is compensated and no handler runs; cancel --compensate does that."),
      .args_min = 1, .args_max = 1, .many = true, .run = cmd_terminate },
    { TABLE("retry", "RUN|--where FILTER", retry_options, "Let a run that failed go on",
            "What failed, or was cut off, is begun again, with as many attempts and as much time as at "
            "first; what has completed is kept. Also for a run that was cancelled. One that was rolled "
            "back is refused, as is one that goes on or has completed (exit code 1)."),
      .args_min = 1, .args_max = 1, .many = true, .run = cmd_retry },
    { TABLE("rerun", "RUN|--where FILTER", rerun_options, "Do a run again from a step on",
            "Of a run that has ended: the step, and all that came after it (in a graph: what needs it), "
            "is done again; what it did before is kept, variables too. A step that the run never came to "
            "is refused (exit code 1).\n\ntutti rerun RUN --from STEP"),
      .args_min = 1, .args_max = 1, .many = true, .run = cmd_rerun },
    { TABLE("fork", "RUN [NAME=JSON...]", fork_options, "Start a run that takes over what another did",
            "A new run of the same definition, in which the steps that completed before --at complete at "
            "once, with the outputs that they had. NAME=JSON sets variables, --input another input. The "
            "run that it is made of may go on; nothing changes in it. Prints the id of the new run."),
      .args_min = 1, .args_max = 64, .run = cmd_fork },
    { TABLE("restart", "RUN|--where FILTER", restart_options, "Start a run again from the beginning",
            "A new run of the latest version with the same input, and without a start key, which the old "
            "run keeps. Prints the id of the new run. A run that goes on is refused (exit code 1) unless "
            "--cancel ends it."),
      .args_min = 1, .args_max = 1, .many = true, .run = cmd_restart },
    { TABLE("schedule", "list|pause|resume|trigger|backfill [NAME]", schedule_options,
            "Look at schedules, stop them, or start their runs by hand",
            "A schedule is named WORKFLOW/NAME, as list shows it; WORKFLOW is enough where there is only "
            "one. list shows when each was due last and will be next.\n\n"
            "pause lets it start nothing more, resume lets it go on with the next time to come: what it "
            "was paused for is not made up for. trigger starts a run now. backfill starts one for every "
            "planned time from --from to --to (at most 1000), one after the other, or side by side with "
            "overlap: allow; a time whose run there is already starts no second one."),
      .args_min = 1, .args_max = 2, .words = schedule_verbs, .run = cmd_schedule },
    { TABLE("dlq", "list|show|redrive|drop [LETTER...]", dlq_options,
            "Look at dead letters, send them again, or drop them",
            "A record that could not be used lies in the topic dlq with the reason. A letter is named "
            "PARTITION/OFFSET, as list shows it.\n\n"
            "list shows those that nobody has handled, the newest first. show prints one as it came, "
            "headers and all. redrive sends it once more to the topic and partition that it came from; "
            "of an event that was quarantined it lets its run, which is paused, go on as well. drop only "
            "says that it needs no more attention. Redriven and dropped letters are remembered in the "
            "topic itself and are refused a second time (exit code 1); a letter that does not exist "
            "ends with exit code 3."),
      .args_min = 1, .args_max = 1000, .words = dlq_verbs, .run = cmd_dlq },
    { TABLE("completion", "bash|zsh|fish", plain_options, "Print a shell completion script",
            "Bash: source <(tutti completion bash)"),
      .args_min = 1, .args_max = 1, .words = shells, .run = cmd_completion },
    { TABLE("man", "[COMMAND]", plain_options, "Print a man page",
            "To read one: tutti man start | man -l -\n\nThere are also tutti-orchestrator and "
            "tutti-worker."),
      .args_max = 1, .run = cmd_man },
    { TABLE("docs", "configuration|schema", plain_options, "Print generated documentation",
            "The options of tutti, tutti-orchestrator and tutti-worker with their files' keys, "
            "variables, flags, defaults and bounds: as a page in Markdown, or as a JSON Schema of "
            "the configuration files."),
      .args_min = 1, .args_max = 1, .words = documents, .run = cmd_docs },
    { TABLE("version", NULL, plain_options, "Print the version", NULL), .run = cmd_version },
    { TABLE("help", "[COMMAND]", plain_options, "Say what there is, or all about one command", NULL),
      .args_max = 1, .run = cmd_help },
};
/* clang-format on */

const struct command *commands(size_t *ret_count)
{
    *ret_count = ARRAY_LEN(all);
    return all;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (strcmp(all[i].name, name) == 0) return &all[i];
    return NULL;
}

const char *command_suggest(const char *name)
{
    const char *names[ARRAY_LEN(all)];
    for (size_t i = 0; i < ARRAY_LEN(all); i++) names[i] = all[i].name;
    return nearest_name(name, names, ARRAY_LEN(names));
}
