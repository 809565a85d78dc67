"""Whether the CloudFormation template and the Terraform module make the same policies. Run by deploy/lint."""
import functools, itertools, json, os, pathlib, shutil, subprocess, tempfile

import hcl2
from cfnlint.decode import decode

HERE = pathlib.Path(__file__).parent
ACCOUNT, KEY, ROLE = "111122223333", "arn:aws:kms:eu-central-1:111122223333:key/k", "arn:aws:iam::111122223333:role/rewrap"
NOTHING = object()


def resolve(node, template, parameters):
    """What CloudFormation makes of a part of the template, for the functions that it uses."""
    go = lambda part: resolve(part, template, parameters)
    if isinstance(node, list):
        return [part for part in map(go, node) if part is not NOTHING]
    if not isinstance(node, dict):
        return node
    if "Ref" in node:
        return NOTHING if node["Ref"] == "AWS::NoValue" else parameters[node["Ref"]]
    if "Fn::GetAtt" in node:
        return {("Key", "Arn"): KEY}[tuple(node["Fn::GetAtt"])]
    if "Fn::Sub" in node:
        return node["Fn::Sub"].replace("${AWS::Partition}", "aws").replace("${AWS::AccountId}", ACCOUNT)
    if "Fn::If" in node:
        name, yes, no = node["Fn::If"]
        return go(yes if go(template["Conditions"][name]) else no)
    if "Fn::Equals" in node:
        one, other = map(go, node["Fn::Equals"])
        return one == other
    if "Fn::Not" in node:
        return not go(node["Fn::Not"][0])
    parts = {name: go(part) for name, part in node.items()}
    return {name: part for name, part in parts.items() if part is not NOTHING}


def terraform(direct, rewrap):
    """The outputs of the policies module, which needs no provider."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(HERE / "terraform/policies/main.tf", folder)
        values = {"partition": "aws", "account": ACCOUNT, "key_arn": KEY, "tables": "shop.*",
                  "direct_mode": direct, "rewrap_role_arn": rewrap}
        (pathlib.Path(folder) / "t.auto.tfvars.json").write_text(json.dumps(values))
        run = lambda *words: subprocess.run(["terraform", *words], cwd=folder, check=True, capture_output=True, text=True,
                                            env={**os.environ, "TF_CLI_CONFIG_FILE": os.devnull}).stdout
        run("init", "-input=false"), run("apply", "-auto-approve", "-input=false")
        return {name: json.loads(output["value"]) for name, output in json.loads(run("output", "-json")).items()}


for file in sorted(HERE.glob("terraform/**/*.tf")):
    assert hcl2.loads(file.read_text()), f"{file} holds nothing"
    print(f"{file.relative_to(HERE.parent)}: parses")
template, problems = decode(str(HERE / "cloudformation/kms-key.yaml"))
assert not problems, problems
if not shutil.which("terraform"):
    print("SKIPPED: comparing the policies needs terraform")
else:
    for direct, rewrap in itertools.product([False, True], ["", ROLE]):
        given = {"Tables": "shop.*", "DirectMode": json.dumps(direct), "RewrapRoleArn": rewrap}
        find = lambda *path: functools.reduce(lambda node, name: node[name], path, template["Resources"])
        part = lambda *path: resolve(find(*path), template, given)
        wanted = {"key": part("Key", "Properties", "KeyPolicy"), "proxy": part("ProxyPolicy", "Properties", "PolicyDocument"),
                  "alarm": part("KeyChanged", "Properties", "EventPattern")}
        made = terraform(direct, rewrap)
        for name in wanted:
            assert made[name] == json.loads(json.dumps(wanted[name])), f"{name}: {made[name]} is not {wanted[name]}"
    print("CloudFormation and Terraform make the same policies")
