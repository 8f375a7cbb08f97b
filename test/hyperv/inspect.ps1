# For the contract tests: what the stand-in module declares, and what language agent.ps1 is written in, each as lines
# of tab-separated fields. Uses PowerShell's own binder and parser, so nothing is guessed from text.
param([string]$Module, [string]$Folder)
$ErrorActionPreference = 'Stop'

if ($Module) {
    Import-Module -Name $Module
    $common = [System.Management.Automation.PSCmdlet]::CommonParameters + [System.Management.Automation.PSCmdlet]::OptionalCommonParameters
    foreach ($command in Get-Command -Module 'Hyper-V') {
        $metadata = [System.Management.Automation.CommandMetadata]::new($command)
        foreach ($parameter in $command.Parameters.Values) {
            if ($common -contains $parameter.Name -and 'WhatIf', 'Confirm' -notcontains $parameter.Name) { continue }
            foreach ($set in $parameter.ParameterSets.GetEnumerator()) {
                # What it takes, where it takes only some values: those of its type, or of its ValidateSet.
                $type = $parameter.ParameterType
                if ($type.IsArray) { $type = $type.GetElementType() }
                $values = @(if ($type.IsEnum) { [enum]::GetNames($type) })
                foreach ($attribute in $parameter.Attributes) { if ($attribute -is [System.Management.Automation.ValidateSetAttribute]) { $values = $attribute.ValidValues } }
                foreach ($value in $values) { [string]::Join("`t", 'value', $command.Name, $parameter.Name, $value) }
                [string]::Join("`t", 'parameter', $command.Name, $metadata.DefaultParameterSetName, $set.Key, $parameter.Name, $parameter.ParameterType.Name, $set.Value.IsMandatory, ($parameter.Aliases -join ','))
            }
        }
    }
}

if ($Folder) {
    foreach ($file in [System.IO.Directory]::GetFiles($Folder, '*.ps1')) {
        $tokens = $null
        $errors = $null
        $ast = [System.Management.Automation.Language.Parser]::ParseFile($file, [ref]$tokens, [ref]$errors)
        $name = [System.IO.Path]::GetFileName($file)
        foreach ($problem in $errors) { [string]::Join("`t", 'problem', $name, $problem.Message) }
        foreach ($token in $tokens) { [string]::Join("`t", 'token', $name, $token.Kind) }
        foreach ($node in $ast.FindAll({ $true }, $true)) {
            switch ($node.GetType().Name) {
                'CommandAst' { [string]::Join("`t", 'command', $name, $(if ($node.GetCommandName()) { $node.GetCommandName() } else { "($($node.CommandElements[0]))" })) }
                'FunctionDefinitionAst' { [string]::Join("`t", 'function', $name, $node.Name) }
                'InvokeMemberExpressionAst' { if ($node.Static) { [string]::Join("`t", 'method', $name, "$($node.Expression)::$($node.Member)") } }
                'MemberExpressionAst' { if ($node.Static) { [string]::Join("`t", 'method', $name, "$($node.Expression)::$($node.Member)") } }
                'ExpandableStringExpressionAst' {}
                default { [string]::Join("`t", 'node', $name, $_) }
            }
        }
    }
}
