/* SPDX-License-Identifier: Apache-2.0
 *
 * `graph`: a workflow as a picture.
 */
#include "cli/cli.h"
#include "cli/graph.h"

int cmd_graph(struct cli *cli)
{
    const char *format = cli->config->picture;
    int code = EXIT_OK;
    CLEANUP(definition_free_p)
    struct definition *def = cli_definition(cli, cli->args[0], &code);
    if (!def) return code;
    CLEANUP(graph_done) struct graph graph = graph_of(def);
    if (cli->config->json || strcmp(format, "json") == 0) {
        AUTO_JSON *value = graph_json(&graph);
        return cli_print_json(cli, value) ? EXIT_OK : EXIT_FAILED;
    }
    AUTO_BUF struct buf text = { 0 };
    if (strcmp(format, "dot") == 0)
        graph_dot(&graph, &text);
    else
        graph_mermaid(&graph, &text);
    return cli_print(&text) ? EXIT_OK : EXIT_FAILED;
}
