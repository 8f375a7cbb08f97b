# What this script asks of the Hyper-V module, found by PowerShell's own parser. A self-test compares it with the
# module of the host (Get-Command), and a test with Microsoft's documentation of each Windows version.

function Get-CmdletCalls {
    $calls = foreach ($file in [System.IO.Directory]::GetFiles($PSScriptRoot, '*.ps1')) {
        $tokens = $null
        $errors = $null
        $ast = [System.Management.Automation.Language.Parser]::ParseFile($file, [ref]$tokens, [ref]$errors)
        if ($errors.Count -gt 0) { throw (New-Refusal 'driver_failed' "$file does not parse") }
        $isCall = { param($node) $node -is [System.Management.Automation.Language.CommandAst] -and ([string]$node.GetCommandName()).StartsWith('Hyper-V\') }
        foreach ($call in $ast.FindAll($isCall, $true)) {
            $parameters = @(foreach ($element in $call.CommandElements) {
                    if ($element -is [System.Management.Automation.Language.CommandParameterAst]) { $element.ParameterName }
                })
            $cmdlet = ([string]$call.GetCommandName()).Substring(8)
            $offered = Get-Command -Name "Hyper-V\$cmdlet" -ErrorAction SilentlyContinue
            $modernOnly = Test-Within $call '$script:Modern'
            $guarded = Test-Within $call '$script:AutomaticCheckpoints'
            @{
                cmdlet     = $cmdlet
                parameters = $parameters
                literals   = @(Get-Literals $call)
                # Splatted or positional arguments could not be checked: there are none.
                named      = Test-NamedOnly $call
                # What the second guard admits is of Windows Server 2016 at the earliest too.
                modernOnly = $modernOnly -or $guarded
                place      = "$([System.IO.Path]::GetFileName($file)):$($call.Extent.StartLineNumber)"
                missing    = @(
                    if ((-not $modernOnly -or $script:Modern) -and (-not $guarded -or $script:AutomaticCheckpoints)) {
                        if ($null -eq $offered) { $cmdlet }
                        else { $parameters | Where-Object { -not $offered.Parameters.ContainsKey($_) } }
                    }
                )
            }
        }
    }
    @{ calls = @($calls) }
}

# Inside "if (<guard>) { ... }", and so never reached where the module at hand does not offer it.
function Test-Within($Call, [string]$Guard) {
    for ($node = $Call; $null -ne $node.Parent; $node = $node.Parent) {
        $if = $node.Parent -as [System.Management.Automation.Language.IfStatementAst]
        if ($null -eq $if) { continue }
        foreach ($clause in $if.Clauses) {
            if ($clause.Item1.Extent.Text.StartsWith($Guard) -and -not $clause.Item1.Extent.Text.Contains('-or') -and $clause.Item2 -eq $node) { return $true }
        }
    }
    $false
}

# The arguments that are words of the script itself, by their parameters.
function Get-Literals($Call) {
    for ($n = 2; $n -lt $Call.CommandElements.Count; $n++) {
        $name = $Call.CommandElements[$n - 1] -as [System.Management.Automation.Language.CommandParameterAst]
        $value = $Call.CommandElements[$n] -as [System.Management.Automation.Language.ConstantExpressionAst]
        if ($null -ne $name -and $null -ne $value) { @{ parameter = $name.ParameterName; value = [string]$value.Value } }
    }
}

# Every argument stands behind the name of its parameter.
function Test-NamedOnly($Call) {
    $elements = $Call.CommandElements
    for ($n = 1; $n -lt $elements.Count; $n++) {
        if ($elements[$n] -is [System.Management.Automation.Language.CommandParameterAst]) { continue }
        $before = $elements[$n - 1] -as [System.Management.Automation.Language.CommandParameterAst]
        $splatted = $elements[$n] -is [System.Management.Automation.Language.VariableExpressionAst] -and $elements[$n].Splatted
        if ($null -eq $before -or $null -ne $before.Argument -or $splatted) { return $false }
    }
    $true
}
