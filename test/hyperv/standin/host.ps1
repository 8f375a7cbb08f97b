# The host.

function Get-VMHost {
    [CmdletBinding()]
    param()
    Invoke-Cmdlet 'Get-VMHost' {
        [VMHost]@{ ComputerName = 'STANDIN'; LogicalProcessorCount = $script:Standin.LogicalProcessors; MemoryCapacity = $script:Standin.MemoryBytes }
    }
}
